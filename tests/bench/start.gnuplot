# Start and end of a tiny program: medians and quartiles.
set terminal svg size 720,260 font "sans-serif,12" background rgb "white"
set title "start and end of a tiny program, microseconds\n".machine noenhanced
set style fill solid 0.6 border -1
set boxwidth 0.5
set yrange [0:*]
set xrange [-0.6:4.6]
set grid ytics lc rgb "#dddddd"
unset key
rows = "< awk '$1 == \"start\" && $2 != \"plain-again\"' ".medians
set xtics ("no preload" 0, "an empty library" 1, "the least" 2, "libetxtbsy" 3, "configured" 4)
plot rows using 0:3 with boxes lc rgb "#4477aa", "" using 0:3:4:5 with yerrorbars lc rgb "black" pt -1
