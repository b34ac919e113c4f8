# cp of 30 KiB over a running program: where the time goes.
set terminal svg size 720,300 font "sans-serif,12" background rgb "white"
set title "cp of 30 KiB over a running program, milliseconds for the whole process\n".machine noenhanced
set style fill solid 0.6 border -1
set boxwidth 0.6
set bmargin 4
set yrange [0:*]
set xrange [-0.6:6.6]
set grid ytics lc rgb "#dddddd"
unset key
rows = "< awk '$1 == \"copy-small\"' ".medians
set xtics ("--remove-\ndestination" 0, "idle file,\nno preload" 1, "idle file,\nlibetxtbsy" 2, "busy:\nno line" 3, "and a\nlog line" 4, "and\nholders" 5, "and sync:\ndefaults" 6)
plot rows using 0:3 with boxes lc rgb "#4477aa", "" using 0:3:4:5 with yerrorbars lc rgb "black" pt -1
